package identity

import (
	"strings"

	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Servers prepare texts for comparison in ways of their own. OpenLDAP and 389-DS make capital letters small one by one,
// so that "STRASSE" is not "Straße" to them, and keep characters that nobody sees, which RFC 4518, section 2.2 takes out.
// So a server is asked for a text as it is prepared here, in each spelling that is the same here and not there, and what it
// returns is compared once more. What that cannot find are stored texts with characters that nobody sees.

// edges says at which ends of a part a letter may go on beyond it.
type edges struct{ start, end bool }

// whole is a text without anything around it.
var whole edges

// maxSpellings bounds the spellings of a text that a directory is asked for.
const maxSpellings = 16

// anySpelling returns the filter that matches what the given one does for any spelling of the text.
func anySpelling(text string, at edges, filter func(text string) *wire.Filter) *wire.Filter {
	var filters []*wire.Filter
	all := spellings(match.CaseIgnore(text), at)
	// A stored text may be spelt just so, other blanks at its ends, which are letters to 389-DS, included or not.
	for _, given := range unique([]string{strings.Trim(text, " "), strings.TrimSpace(text)}) {
		if given != "" && match.CaseIgnore(given) != strings.ToLower(given) {
			all = append(all, given)
		}
	}
	for _, spelling := range all {
		filters = append(filters, filter(spelling))
	}
	return anyOf(filters)
}

// spellings returns the texts that become the given one, which is folded, when case is folded by whole words (The Unicode
// Standard, section 3.13), and not when each letter is made small: "ß" becomes "ss", "ς" becomes "σ", and "İ" an i with
// a dot above it. The text itself is the first.
func spellings(folded string, at edges) []string {
	var found []string
	var spell func(done, rest string)
	spell = func(done, rest string) {
		next := strings.IndexFunc(rest, isAmbiguous)
		if next < 0 {
			found = append(found, done+rest)
			return
		}
		for _, choice := range choices(rest[next:], at.start && done == "" && next == 0, at.end) {
			if len(found) < maxSpellings {
				spell(done+rest[:next]+choice.letter, rest[next+choice.length:])
			}
		}
	}
	spell("", folded)
	return found
}

// choice is a letter that stands for the first bytes of a text.
type choice struct {
	letter string
	length int
}

// The letters of which there are others that fold to them: s alone or twice, sigma, and the dot above an i.
const (
	sigma    = "σ"
	dottedI  = "i\u0307"
	sharpS   = "ß"
	anySigma = "ς"
	capitalI = "İ"
)

func isAmbiguous(letter rune) bool { return letter == 's' || letter == 'σ' || letter == 'i' }

// choices returns the letters that the beginning of a text, an ambiguous letter, may stand for. Halved says that it may be
// the second half of one, and goesOn that its last letter may be the first half of one.
func choices(text string, halved, goesOn bool) []choice {
	switch {
	case strings.HasPrefix(text, sigma):
		return []choice{{sigma, len(sigma)}, {anySigma, len(sigma)}}
	case strings.HasPrefix(text, dottedI):
		return []choice{{dottedI, len(dottedI)}, {capitalI, len(dottedI)}}
	case text == "i" && goesOn:
		return []choice{{"i", 1}, {capitalI, 1}}
	case strings.HasPrefix(text, "i"):
		return []choice{{"i", 1}}
	}
	found := []choice{{"s", 1}}
	if strings.HasPrefix(text, "ss") {
		found = append(found, choice{sharpS, 2})
	}
	if halved || goesOn && text == "s" {
		found = append(found, choice{sharpS, 1})
	}
	return found
}
