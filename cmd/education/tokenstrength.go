package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// minTokenLength is the number of characters below which a token counts as weak: 32 of them hold 128 random bits even if they
// are hexadecimal digits.
const minTokenLength = 32

// minTokenVariety is the number of different characters below which a token counts as weak, however long it is. Of 32 random
// hexadecimal digits, one in 28 million has fewer.
const minTokenVariety = 8

// knownTokens are tokens that stand in examples, with which services are found on networks: changeme is that of OpenCloud's
// multi-tenancy example.
var knownTokens = []string{"changeme", "change-me", "secret", "token", "password", "admin", "education", "opencloud"}

// weakness says what makes a token easy to guess, or nothing.
func weakness(token string) string {
	switch {
	case slices.Contains(knownTokens, strings.ToLower(token)):
		return "is one that everybody knows"
	case len(token) < minTokenLength:
		return fmt.Sprintf("is shorter than %d characters", minTokenLength)
	case variety(token) < minTokenVariety:
		return fmt.Sprintf("has fewer than %d different characters", minTokenVariety)
	}
	return ""
}

// variety returns how many different characters a text has.
func variety(text string) int {
	seen := map[rune]bool{}
	for _, r := range text {
		seen[r] = true
	}
	return len(seen)
}

// permitsWeakToken reports whether a weak token is no more than a warning: nobody can try it from another machine, or the
// environment was written for OpenCloud, whose example has such a token.
func (s *settings) permitsWeakToken() bool {
	origin := s.origins["EDUCATION_TOKEN"]
	return s.compatible() || origin != "" && origin != "EDUCATION_TOKEN" || isLoopback(s.HTTPAddr) && !s.isBehindProxy()
}

// isBehindProxy reports whether the settings speak of a proxy, which brings requests of other machines to a loopback address.
func (s *settings) isBehindProxy() bool {
	public, err := url.Parse(s.PublicURL)
	isElsewhere := err != nil || s.PublicURL != "" && !isLoopbackHost(public.Hostname())
	return isElsewhere || s.TrustedProxies != ""
}

// isLoopback reports whether an address to listen on can be reached from this machine alone.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && isLoopbackHost(host)
}

// isLoopbackHost reports whether a name (RFC 6761, section 6.3) or an IP address is that of a machine for itself.
func isLoopbackHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}
