package outbound

import (
	"context"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// URLError says why a URL may not be registered. It never repeats the URL.
type URLError struct {
	// Code is stable and snake_case.
	Code string
	// Detail is a sentence for people.
	Detail string
}

// Error returns the detail.
func (e *URLError) Error() string { return "outbound: " + e.Code + ": " + e.Detail }

// maxURL is the longest URL that is called, in bytes.
const maxURL = 2000

var (
	hostForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\.?$`)
	// numberForm is a last label by which resolvers take a name for an IPv4 address in decimal, octal or hexadecimal (WHATWG URL, "ends
	// in a number").
	numberForm = regexp.MustCompile(`^([0-9]+|0x[0-9a-f]*)$`)
)

// CheckURL judges a URL that somebody wants called: its form, and every address that its name has now. It returns nil or a *[URLError]. What the
// name resolves to later is judged again with every connection.
func (c *Client) CheckURL(ctx context.Context, raw string) error {
	u, refused := c.parse(raw)
	if refused != nil {
		return refused
	}
	if refused := c.checkHost(ctx, u.Hostname()); refused != nil {
		return refused
	}
	return nil
}

func (c *Client) parse(raw string) (*url.URL, *URLError) {
	if len(raw) > maxURL {
		return nil, &URLError{"too_long", "The URL is longer than 2,000 bytes."}
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Opaque != "" || u.Host == "":
		return nil, &URLError{"invalid_url", "The text is not a URL like https://example.com/path."}
	case u.Scheme != "https" && (u.Scheme != "http" || !c.config.AllowLoopback || !isLoopbackName(u.Hostname())):
		return nil, &URLError{"not_https", "The URL must begin with https://."}
	case u.User != nil:
		return nil, &URLError{"credentials", "The URL must not have a user name or a password in it."}
	case strings.Contains(raw, "#"):
		return nil, &URLError{"fragment", "The URL must not have a fragment."}
	}
	return u, c.checkPort(u.Port())
}

// checkPort keeps to the ports that web servers have: those below 1024 are other services', but for 443.
func (c *Client) checkPort(text string) *URLError {
	if text == "" || text == "443" {
		return nil
	}
	if port, err := strconv.Atoi(text); err != nil || port < 1024 || port > 65535 {
		return &URLError{"forbidden_port", "The port must be 443, or one from 1024 to 65535."}
	}
	return nil
}

func isLoopbackName(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// checkHost judges a name, or an address in the one notation that is not ambiguous.
func (c *Client) checkHost(ctx context.Context, host string) *URLError {
	forbidden := &URLError{"forbidden_address", "The URL leads to a private, local or reserved address."}
	if addr, err := netip.ParseAddr(host); err == nil {
		if !c.allowed(addr) {
			return forbidden
		}
		return nil
	}
	host = strings.ToLower(host)
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	switch {
	case len(host) > 253 || !hostForm.MatchString(host):
		return &URLError{"invalid_host", "The host is not a name in ASCII, as international names are written with xn--."}
	case numberForm.MatchString(labels[len(labels)-1]):
		return &URLError{"invalid_host", "The host is a number, but not an address like 192.0.2.1."}
	case len(labels) == 1 && (host != "localhost" || !c.config.AllowLoopback):
		return &URLError{"invalid_host", "The host is not a full name like api.example.com."}
	}
	return c.checkAddresses(ctx, host, forbidden)
}

func (c *Client) checkAddresses(ctx context.Context, host string, forbidden *URLError) *URLError {
	ctx, cancel := context.WithTimeout(ctx, c.config.Connect)
	defer cancel()
	addrs, err := c.config.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(addrs) == 0 {
		return &URLError{"unresolvable", "The host has no address, or its name servers did not answer."}
	}
	for _, addr := range addrs {
		if !c.allowed(addr) {
			return forbidden
		}
	}
	return nil
}
