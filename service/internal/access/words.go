package access

import (
	"crypto/rand"
	_ "embed"
	"fmt"
	"math/big"
	"strings"
)

// wordList is the EFF's large word list for passphrases, © 2016 Electronic
// Frontier Foundation, https://www.eff.org/dice, licensed under CC BY 3.0 US
// (https://creativecommons.org/licenses/by/3.0/us/). The numbers before the
// words and the four words with a hyphen were taken out.
//
//go:embed words.txt
var wordList string

// passwordWords is how many words a master password has: 77 bits.
const passwordWords = 6

// newPassword returns random words with hyphens between them.
func newPassword() (string, error) {
	words := strings.Fields(wordList)
	chosen := make([]string, passwordWords)
	for i := range chosen {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(words))))
		if err != nil {
			return "", fmt.Errorf("choose a word: %w", err)
		}
		chosen[i] = words[n.Int64()]
	}
	return strings.Join(chosen, "-"), nil
}
