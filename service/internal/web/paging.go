package web

import (
	"net/url"
	"strconv"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// address returns the path of the page that is shown, with the parameters that it
// has and those in set, which are left out where they are empty.
func address(r *request, set url.Values) string {
	kept := make(url.Values)
	for name, values := range r.URL.Query() {
		if name != "done" && len(values) > 0 && values[0] != "" {
			kept[name] = values[:1]
		}
	}
	for name := range set {
		if kept.Del(name); set.Get(name) != "" {
			kept.Set(name, set.Get(name))
		}
	}
	if len(kept) == 0 {
		return r.URL.Path
	}
	return r.URL.Path + "?" + kept.Encode()
}

// pages returns the paths of the first and of the next page of a list with the
// filter that it has; empty when this is the first, or the last.
func pages(r *request, cursor string) (first, next string) {
	if r.URL.Query().Get("cursor") != "" {
		first = address(r, url.Values{"cursor": {""}})
	}
	if cursor != "" {
		next = address(r, url.Values{"cursor": {cursor}})
	}
	return first, next
}

// numbered is a page of a list whose length is known.
type numbered struct {
	Total, Begin, End           int64  // items in all, and the first and last one shown, from 1
	First, Previous, Next, Last string // paths of other pages; empty when this is it
	offset                      int64
}

// number finds the page that a request names, by default the first, in a list of so
// many items. Behind the last page is the last page: items are deleted meanwhile.
func number(r *request, total, size int64) (numbered, error) {
	n, last := int64(1), max((total+size-1)/size, 1)
	if text := r.URL.Query().Get("page"); text != "" {
		var err error
		if n, err = strconv.ParseInt(text, 10, 64); err != nil || n < 1 {
			return numbered{}, store.ErrCursor
		}
	}
	n = min(n, last)
	at := func(page int64) string {
		if page == 1 {
			return address(r, url.Values{"page": {""}})
		}
		return address(r, url.Values{"page": {strconv.FormatInt(page, 10)}})
	}
	p := numbered{Total: total, offset: (n - 1) * size}
	p.Begin, p.End = min(p.offset+1, total), min(p.offset+size, total)
	if n > 1 {
		p.First, p.Previous = at(1), at(n-1)
	}
	if n < last {
		p.Next, p.Last = at(n+1), at(last)
	}
	return p, nil
}
