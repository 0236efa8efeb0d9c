package tokenfile

import (
	"crypto/rand"
	"hash/crc32"
	"math/big"
	"strings"
)

// A token is the prefix, 256 random bits in base62, and the CRC-32 of what is before it in base62: edu_ and 49 letters and
// digits. The prefix lets people and programs that look for secrets in repositories and logs recognise one, and the checksum
// lets them tell it from other text without asking the service.
const (
	prefix         = "edu_"
	secretBits     = 256
	secretDigits   = 43 // 62^43 > 2^256
	checksumDigits = 6  // 62^6 > 2^32
)

// NewToken returns a token that nobody has.
func NewToken() string {
	var bits [secretBits / 8]byte
	_, _ = rand.Read(bits[:]) // It never fails (documentation of crypto/rand).
	token := prefix + base62(new(big.Int).SetBytes(bits[:]), secretDigits)
	return token + checksum(token)
}

// wellFormed reports whether a text can be a token. What cannot is none of ours, and not looked up.
func wellFormed(text string) bool {
	if len(text) != len(prefix)+secretDigits+checksumDigits || !strings.HasPrefix(text, prefix) {
		return false
	}
	rest := len(text) - checksumDigits
	return text[rest:] == checksum(text[:rest])
}

func checksum(text string) string {
	return base62(big.NewInt(int64(crc32.ChecksumIEEE([]byte(text)))), checksumDigits)
}

// base62 writes a number with the digits 0-9, a-z and A-Z, and zeros in front of it.
func base62(number *big.Int, digits int) string {
	text := number.Text(62)
	return strings.Repeat("0", digits-len(text)) + text
}
