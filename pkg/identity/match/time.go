package match

import (
	"strings"
	"time"
)

// timeLayout is the normalised form of a GeneralizedTime: UTC, and always nine digits after the point, so that two
// forms compare as the moments they stand for.
const timeLayout = "20060102150405.000000000Z"

// GeneralizedTime is generalizedTimeMatch (RFC 4517, section 4.2.16) and its ordering. All forms of section 3.3.13 are
// understood: without seconds or minutes, with a fraction of the last part given, in UTC or with an offset.
//
// Digits beyond the nanosecond do not count, and a leap second equals the first second of the next minute.
func GeneralizedTime(value string) (string, bool) {
	moment, ok := ParseGeneralizedTime(value)
	if !ok {
		return "", false
	}
	return moment.Format(timeLayout), true
}

// ParseGeneralizedTime returns the moment that a GeneralizedTime of RFC 4517, section 3.3.13 stands for, in UTC. The
// second result is false if the value is none, or lies outside the years 0 to 9999.
func ParseGeneralizedTime(value string) (time.Time, bool) {
	p := timeParser{rest: value, ok: true}
	year := p.number(4, 0, 9999)
	month := p.number(2, 1, 12)
	day := p.number(2, 1, 31)
	hour := p.number(2, 0, 23)
	unit := time.Hour
	var minute, second int
	if p.atDigit() {
		minute, unit = p.number(2, 0, 59), time.Minute
		if p.atDigit() {
			second, unit = p.number(2, 0, 60), time.Second
		}
	}
	fraction := p.fraction(unit)
	offset := p.offset()
	if !p.ok || p.rest != "" {
		return time.Time{}, false
	}
	date := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if date.Day() != day { // such as 30 February
		return time.Time{}, false
	}
	moment := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC).Add(fraction - offset)
	if moment.Year() < 0 || moment.Year() > 9999 {
		return time.Time{}, false
	}
	return moment, true
}

// timeParser takes a GeneralizedTime apart from left to right. ok becomes false at the first fault and stays so.
type timeParser struct {
	rest string
	ok   bool
}

func (p *timeParser) atDigit() bool { return p.rest != "" && isDigit(p.rest[0]) }

// number takes a number of exactly width digits that lies between least and most.
func (p *timeParser) number(width, least, most int) int {
	if len(p.rest) < width {
		p.ok = false
		return least
	}
	n := 0
	for i := range width {
		if !isDigit(p.rest[i]) {
			p.ok = false
			return least
		}
		n = n*10 + int(p.rest[i]-'0')
	}
	p.rest = p.rest[width:]
	if n < least || n > most {
		p.ok = false
		return least
	}
	return n
}

// fraction takes a fraction of the unit, if there is one.
func (p *timeParser) fraction(unit time.Duration) time.Duration {
	if p.rest == "" || p.rest[0] != '.' && p.rest[0] != ',' {
		return 0
	}
	p.rest = p.rest[1:]
	p.ok = p.ok && p.atDigit()
	var sum time.Duration
	for p.atDigit() {
		unit /= 10
		sum += unit * time.Duration(p.rest[0]-'0')
		p.rest = p.rest[1:]
	}
	return sum
}

// offset takes the time zone, which must be there: Z, or a sign and hours and perhaps minutes.
func (p *timeParser) offset() time.Duration {
	if p.rest == "" {
		p.ok = false
		return 0
	}
	zone := p.rest[0]
	p.rest = p.rest[1:]
	if zone == 'Z' {
		return 0
	}
	if !strings.ContainsRune("+-", rune(zone)) {
		p.ok = false
		return 0
	}
	offset := time.Duration(p.number(2, 0, 23)) * time.Hour
	if p.atDigit() {
		offset += time.Duration(p.number(2, 0, 59)) * time.Minute
	}
	if zone == '-' {
		return -offset
	}
	return offset
}
