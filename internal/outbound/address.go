package outbound

import (
	"net"
	"net/netip"
	"slices"
)

// What nobody outside may have connected to, by the registries of special-purpose addresses (IANA, RFC 6890): this host, private and
// shared networks, links, documentation, benchmarks, multicast, what is reserved, and the addresses at which clouds tell their
// machines secrets. Of IPv6 only 2000::/3 is global at all, which leaves out what maps, translates or embeds IPv4 outside of it: ::/96,
// ::ffff:0:0/96 (judged as IPv4), 64:ff9b::/96, 64:ff9b:1::/48, fc00::/7, fe80::/10, ff00::/8.
var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	special       = prefixes(
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"168.63.129.16/32", // The platform of Azure, for its virtual machines.
		"2001::/23",        // Protocol assignments, Teredo, ORCHID, benchmarks.
		"2001:db8::/32", "2002::/16", "3fff::/20",
	)
)

func prefixes(texts ...string) []netip.Prefix {
	parsed := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		parsed[i] = netip.MustParsePrefix(text)
	}
	return parsed
}

// allowed tells whether an address may be connected to.
func (c *Client) allowed(addr netip.Addr) bool {
	if addr.Zone() != "" || !addr.IsValid() {
		return false
	}
	addr = addr.Unmap()
	if addr.IsLoopback() {
		return c.config.AllowLoopback
	}
	if addr.Is6() && !globalUnicast.Contains(addr) {
		return false
	}
	holds := func(p netip.Prefix) bool { return p.Contains(addr) }
	return !slices.ContainsFunc(special, holds) && !slices.ContainsFunc(c.config.Forbidden, holds)
}

// checkSocket judges the address that a socket is about to be connected to, whatever name it was reached by and whatever that
// name resolved to before.
func (c *Client) checkSocket(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return ErrForbiddenAddress
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || !c.allowed(addr) {
		return ErrForbiddenAddress
	}
	return nil
}
