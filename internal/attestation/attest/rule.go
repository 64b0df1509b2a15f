package attest

import (
	"fmt"
	"slices"
	"strings"
)

// Verdict is the outcome of one rule.
type Verdict string

// The verdicts.
const (
	Pass Verdict = "pass"
	Fail Verdict = "fail"
)

// Result is what one rule says of a report. Name is the field of the policy
// document that sets the rule.
type Result struct {
	Name     string  `json:"name"`
	Verdict  Verdict `json:"verdict"`
	Expected string  `json:"expected"`
	Found    string  `json:"found"`
}

// Results are the results of all rules that were applied.
type Results []Result

// Acceptable reports whether there were rules and all passed.
func (r Results) Acceptable() bool { return len(r) > 0 && len(r.Failed()) == 0 }

// Failed returns the results that did not pass.
func (r Results) Failed() Results {
	var failed Results
	for _, result := range r {
		if result.Verdict != Pass {
			failed = append(failed, result)
		}
	}
	return failed
}

// Evaluate holds a genuine report against a policy. It returns one result for
// each rule that the policy sets, and for the three that hold unless the policy
// lifts them, always in the same order.
func Evaluate(v *Verified, p *Policy) Results {
	var results Results
	for _, r := range rules {
		if !r.set(p) {
			continue
		}
		f := r.judge(v, p)
		result := Result{r.name, Fail, f.expected, f.found}
		if f.ok {
			result.Verdict = Pass
		}
		results = append(results, result)
	}
	return results
}

// rule is one line of the table of rules.
type rule struct {
	name  string
	set   func(*Policy) bool // whether the policy asks for anything
	judge func(*Verified, *Policy) finding
}

// finding is what a rule found. Bytes from outside are quoted in it.
type finding struct {
	ok              bool
	expected, found string
}

// rules is the table, in the order in which results are given.
var rules = slices.Concat(originRules, guestRules, identityRules, platformRules, tcbRules)

func always(*Policy) bool { return true }

// flagRule wants a bit as the policy says, if it says.
func flagRule(name string, want func(*Policy) *bool, found func(*Verified) bool) rule {
	return rule{
		name: name,
		set:  func(p *Policy) bool { return want(p) != nil },
		judge: func(v *Verified, p *Policy) finding {
			expected, got := *want(p), found(v)
			return finding{got == expected, fmt.Sprint(expected), fmt.Sprint(got)}
		},
	}
}

// equalRule wants exactly the value that the policy gives, if it gives one.
func equalRule[T interface {
	comparable
	fmt.Stringer
}](name string, want func(*Policy) *T, found func(*Verified) T) rule {
	return rule{
		name: name,
		set:  func(p *Policy) bool { return want(p) != nil },
		judge: func(v *Verified, p *Policy) finding {
			expected, got := *want(p), found(v)
			return finding{got == expected, expected.String(), got.String()}
		},
	}
}

// listRule wants one of the values that the policy gives, if it gives any.
func listRule[T comparable](name string, want func(*Policy) []T, found func(*Verified) T) rule {
	return rule{
		name: name,
		set:  func(p *Policy) bool { return want(p) != nil },
		judge: func(v *Verified, p *Policy) finding {
			list, got := want(p), found(v)
			ok := false
			for _, allowed := range list {
				ok = ok || allowed == got
			}
			return finding{ok, oneOf(list), fmt.Sprint(got)}
		},
	}
}

// oneOf names the values of a short list and counts those of a long one.
func oneOf[T any](list []T) string {
	if len(list) > 4 {
		return fmt.Sprintf("one of %d values", len(list))
	}
	var words []string
	for _, value := range list {
		words = append(words, fmt.Sprint(value))
	}
	return strings.Join(words, " or ")
}
