package outbound_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/ballast-compute/ballast/internal/outbound"
	"github.com/ballast-compute/ballast/internal/outbound/outboundtest"
)

// codeOf returns why a URL is refused, or "".
func codeOf(t *testing.T, c *outbound.Client, raw string) string {
	t.Helper()
	err := c.CheckURL(t.Context(), raw)
	if err == nil {
		return ""
	}
	refused, ok := errors.AsType[*outbound.URLError](err)
	if !ok || refused.Detail == "" {
		t.Fatalf("%v", err)
	}
	return refused.Code
}

func TestURLsThatMayBeRegistered(t *testing.T) {
	t.Parallel()
	c := outbound.New(outbound.Config{
		Resolver: outboundtest.NewNames(t, map[string]string{
			"api.example.com": "8.8.8.8", "six.example.com": "2606:4700::1111", "inside.example.com": "10.1.2.3",
			"metadata.google.internal": "169.254.169.254", "six-inside.example.com": "fd00::1", "mapped.example.com": "::ffff:7f00:1",
			"127.0.0.1.nip.example": "127.0.0.1", "xn--bcher-kva.example": "9.9.9.9", "denied.example.com": "193.0.0.7",
		}).Resolver(),
		Forbidden: []netip.Prefix{netip.MustParsePrefix("193.0.0.0/24")},
	})
	for raw, want := range map[string]string{
		"https://api.example.com":                              "",
		"https://api.example.com:443/hooks?a=b":                "",
		"https://API.example.com./hooks":                       "",
		"https://api.example.com:8443":                         "",
		"https://six.example.com":                              "",
		"https://8.8.8.8/x":                                    "",
		"https://[2606:4700::1111]/x":                          "",
		"https://xn--bcher-kva.example":                        "",
		"https://inside.example.com":                           "forbidden_address",
		"https://six-inside.example.com":                       "forbidden_address",
		"https://mapped.example.com":                           "forbidden_address",
		"https://metadata.google.internal":                     "forbidden_address",
		"https://127.0.0.1.nip.example":                        "forbidden_address",
		"https://denied.example.com":                           "forbidden_address",
		"https://193.0.0.200":                                  "forbidden_address",
		"https://nowhere.example.com":                          "unresolvable",
		"http://api.example.com":                               "not_https",
		"http://127.0.0.1:9090":                                "not_https",
		"ftp://api.example.com":                                "not_https",
		"file:///etc/passwd":                                   "invalid_url",
		"gopher://api.example.com":                             "not_https",
		"https:api.example.com":                                "invalid_url",
		"//api.example.com":                                    "not_https",
		"":                                                     "invalid_url",
		"https://":                                             "invalid_url",
		"https://:443/":                                        "invalid_host",
		"https://a b/":                                         "invalid_url",
		"https://user:pass@api.example.com":                    "credentials",
		"https://user@api.example.com":                         "credentials",
		"https://api.example.com#":                             "fragment",
		"https://api.example.com/#x":                           "fragment",
		"https://api.example.com:22":                           "forbidden_port",
		"https://api.example.com:80":                           "forbidden_port",
		"https://api.example.com:65536":                        "forbidden_port",
		"https://api.example.com:0":                            "forbidden_port",
		"https://localhost":                                    "invalid_host",
		"https://postgres":                                     "invalid_host",
		"https://bücher.example":                               "invalid_host",
		"https://api_1.example.com":                            "invalid_host",
		"https://-.example.com":                                "invalid_host",
		"https://api..example.com":                             "invalid_host",
		"https://" + strings.Repeat("a.", 130) + "com":         "invalid_host",
		"https://api.example.com/" + strings.Repeat("x", 2000): "too_long",
	} {
		if got := codeOf(t, c, raw); got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}

// Every way to write an address that is not public, and those that only look like one.
func TestAddressesThatAreNeverCalled(t *testing.T) {
	t.Parallel()
	c := outbound.New(outbound.Config{Resolver: outboundtest.NewNames(t, nil).Resolver()})
	forbidden := []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "168.63.129.16",
		"169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1",
		"198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
		"[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]",
		"[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::1]", "[100::1]", "[2001::1]", "[2001:0:7f00:1::]", "[2001:db8::1]",
		"[2002:7f00:1::]", "[2002:a00:1::1]", "[3fff::1]", "[5f00::1]", "[fc00::1]", "[fd00:ec2::254]", "[fe80::1]", "[fe80::1%25eth0]", "[fec0::1]", "[ff02::1]",
	}
	for _, host := range forbidden {
		if got := codeOf(t, c, "https://"+host+"/"); got != "forbidden_address" {
			t.Errorf("%s: %q", host, got)
		}
	}
	for _, host := range []string{ // What inet_aton and browsers take for 127.0.0.1 and 10.0.0.1.
		"2130706433", "0x7f000001", "0X7F000001", "017700000001", "127.1", "127.0.1", "0177.0.0.1", "0x7f.0.0.1", "0x7f.1", "00000177.1", "127.0.0.1.", "127.0.0.01",
		"10.0.0.1.", "012.0.0.1", "0xa.0.0.1", "0", "0x", "127.0.0.0x1", "①②⑦.⓪.⓪.①", "127。0。0。1", "%31%32%37.0.0.1", "127.0.0.1%00", "1.2.3.4.5", "256.256.256.256",
	} {
		if got := codeOf(t, c, "https://"+host+"/"); got != "invalid_host" && got != "invalid_url" {
			t.Errorf("%s: %q", host, got)
		}
	}
	for _, host := range []string{"9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.169.0.0", "223.255.255.255", "[::ffff:8.8.8.8]", "[2a00::1]", "[2003::1]"} {
		if got := codeOf(t, c, "https://"+host+"/"); got != "" {
			t.Errorf("%s is public: %q", host, got)
		}
	}
}

func TestLoopbackWhereItIsAllowed(t *testing.T) {
	t.Parallel()
	c := outbound.New(outbound.Config{AllowLoopback: true, Resolver: outboundtest.NewNames(t, map[string]string{
		"localhost": "127.0.0.1", "api.example.com": "8.8.8.8", "inside.example.com": "192.168.1.1",
	}).Resolver()})
	for raw, want := range map[string]string{
		"http://127.0.0.1:9090/x":    "",
		"http://[::1]:9090/x":        "",
		"http://localhost:9090/x":    "",
		"https://127.0.0.1:9090/x":   "",
		"http://127.0.0.1:80/x":      "forbidden_port",
		"http://api.example.com/x":   "not_https",
		"http://10.0.0.1:8080/x":     "not_https",
		"https://10.0.0.1:8080/x":    "forbidden_address",
		"https://inside.example.com": "forbidden_address",
		"https://0.0.0.0:8080":       "forbidden_address",
		"https://[::]:8080":          "forbidden_address",
	} {
		if got := codeOf(t, c, raw); got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}

func TestCheckingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := outbound.New(outbound.Config{Resolver: outboundtest.NewNames(t, map[string]string{"api.example.com": "8.8.8.8"}).Resolver()})
	if err := c.CheckURL(ctx, "https://api.example.com"); err == nil {
		t.Error("a name was resolved for nobody")
	}
}

func FuzzURLs(f *testing.F) {
	c := outbound.New(outbound.Config{Resolver: nil})
	for _, seed := range []string{"https://8.8.8.8", "https://127.1", "https://[::ffff:127.0.0.1%25x]:1", "https://0x7f.1/", "https://user@10.0.0.1"} {
		f.Add(seed)
	}
	done, cancel := context.WithCancel(context.Background())
	cancel() // No name is resolved.
	f.Fuzz(func(t *testing.T, raw string) {
		if c.CheckURL(done, raw) != nil {
			return
		}
		// Only a public address in its usual notation is accepted without asking for a name.
		host := strings.TrimPrefix(strings.ToLower(raw), "https://")
		host, _, _ = strings.Cut(host, "/")
		host, _, _ = strings.Cut(host, "?")
		if addrPort, err := netip.ParseAddrPort(host); err == nil {
			host = addrPort.Addr().String()
		}
		addr, err := netip.ParseAddr(strings.Trim(strings.TrimSuffix(host, ":"), "[]"))
		if err != nil || addr.Unmap().IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() {
			t.Errorf("%q was accepted", raw)
		}
	})
}
