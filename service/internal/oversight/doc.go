// Package oversight is what operators look at and check: the audit log, who has
// tokens, how much there is, and the cache of AMD's certificates. Its operations ask
// for the role and the place that they need, whoever calls them.
package oversight
