// Package update answers guests that have booted: whether there is a release for a
// kernel that they have installed, and that the release they run works
// (docs/updates.md).
//
// A call is judged like an unlock, by package unlock: only a guest that would be given
// its key is answered, and which image and release it is says its report, never its
// body. Answers are signed by the identity key for one call. What a guest says of
// itself is kept in the table of machines and decides nothing but its own answer.
package update
