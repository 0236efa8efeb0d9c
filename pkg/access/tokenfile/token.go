package tokenfile

import (
	"crypto/rand"
	"hash/crc32"
	"math/big"
	"slices"
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
	secret := new(big.Int).SetBytes(bits[:]).Text(len(digits))
	token := prefix + strings.Repeat("0", secretDigits-len(secret)) + secret
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

// digits are those of base62, as math/big has them.
const digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// checksum returns the CRC-32 of a text in base62.
func checksum(text string) string {
	var written [checksumDigits]byte
	rest := crc32.ChecksumIEEE([]byte(text))
	for i := range slices.Backward(written[:]) {
		written[i] = digits[rest%uint32(len(digits))]
		rest /= uint32(len(digits))
	}
	return string(written[:])
}
