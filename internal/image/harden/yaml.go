package harden

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Limits on mappings that are merged into others, deep and in all.
const (
	maxMergeDepth = 16
	maxMerges     = 4096
)

// readYAML returns the top of a YAML document that is one mapping, by keys. Of two
// values the last counts, as for the PyYAML that cloud-init uses. The error wraps
// ErrMalformed.
func readYAML(content string) (map[string]*yaml.Node, error) {
	decoder := yaml.NewDecoder(strings.NewReader(content))
	var document, more yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: more than one document", ErrMalformed)
	}
	if len(document.Content) == 0 || document.Content[0].Tag == "!!null" {
		return nil, nil
	}
	return fields(document.Content[0])
}

// fields returns a mapping by its keys. Keys of what "<<" merges count where the
// mapping has none of its own. What is no mapping is an error.
func fields(node *yaml.Node) (map[string]*yaml.Node, error) {
	left := maxMerges
	return merged(node, maxMergeDepth, &left)
}

func merged(node *yaml.Node, depth int, left *int) (map[string]*yaml.Node, error) {
	if *left--; *left < 0 || depth == 0 {
		return nil, fmt.Errorf("%w: too many mappings in one another", ErrMalformed)
	}
	if node.Kind == yaml.AliasNode {
		return merged(node.Alias, depth-1, left)
	}
	if node.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%w: no mapping", ErrMalformed)
	}
	all := map[string]*yaml.Node{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value != "<<" {
			continue
		}
		for _, other := range listed(node.Content[i+1]) {
			below, err := merged(other, depth-1, left)
			if err != nil {
				return nil, err
			}
			for key, value := range below {
				all[key] = value
			}
		}
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		all[node.Content[i].Value] = node.Content[i+1]
	}
	return all, nil
}

// listed returns the items of a list, and what is none by itself.
func listed(node *yaml.Node) []*yaml.Node {
	if node.Kind == yaml.AliasNode && node.Alias.Kind == yaml.SequenceNode {
		node = node.Alias
	}
	if node.Kind == yaml.SequenceNode {
		return node.Content
	}
	return []*yaml.Node{node}
}

// scalars returns the texts of a list, or of a single scalar; what is no text is
// "?".
func scalars(node *yaml.Node) (all []string) {
	for _, item := range listed(node) {
		switch {
		case item.Kind != yaml.ScalarNode:
			all = append(all, "?")
		case item.Value != "":
			all = append(all, strings.FieldsFunc(item.Value, func(c rune) bool { return c == ',' || c == ' ' })...)
		}
	}
	return all
}
