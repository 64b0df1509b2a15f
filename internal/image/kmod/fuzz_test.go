package kmod_test

import (
	"errors"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
)

func FuzzModulesDep(f *testing.F) {
	f.Add([]byte("kernel/a.ko.xz: kernel/b.ko\nkernel/b.ko:\n"), []byte("kernel/c.ko\n"), []byte("alias a b\n"))
	f.Fuzz(func(t *testing.T, dep, builtin, alias []byte) {
		root := fstest.MapFS{}
		put(root, "modules.dep", dep)
		put(root, "modules.builtin", builtin)
		put(root, "modules.alias", alias)
		tree, err := kmod.Open(root, release)
		if err != nil {
			if !errors.Is(err, kmod.ErrMalformed) && !errors.Is(err, kmod.ErrNoTree) {
				t.Errorf("got %v", err)
			}
			return
		}
		_ = tree.Missing(kmod.ForAgent())
	})
}

func FuzzModinfo(f *testing.F) {
	f.Add(built("dm_crypt", "dm-mod,x", "softdep=pre: a b post: c"))
	f.Add(object([]string{"name=a"}, "b", "c"))
	f.Fuzz(func(t *testing.T, module []byte) {
		if _, err := kmod.ParseModinfo(module); err != nil && !errors.Is(err, kmod.ErrMalformed) {
			t.Errorf("got %v", err)
		}
	})
}

// FuzzClosure lets two modules say what they like of each other.
func FuzzClosure(f *testing.F) {
	f.Add("dm-mod", "", "softdep=pre: xts")
	f.Add("xts", "dm_mod", "softdep=pre: dm_crypt")
	f.Fuzz(func(t *testing.T, crypt, mod, soft string) {
		root := debian(t)
		put(root, "kernel/drivers/md/dm-crypt.ko.xz", built("dm_crypt", crypt))
		put(root, "kernel/drivers/md/dm-mod.ko.xz", built("dm_mod", mod, soft))
		c, err := open(t, root).Closure(kmod.ForAgent())
		if err != nil {
			if !errors.Is(err, kmod.ErrMalformed) && !errors.Is(err, kmod.ErrCycle) {
				t.Errorf("got %v", err)
			}
			return
		}
		order := loaded(c)
		for at, m := range c.Modules {
			info, err := kmod.ParseModinfo(m.Data)
			if err != nil {
				t.Fatal(err)
			}
			for _, need := range info.Depends {
				if before := slices.Index(order, need); before > at || before < 0 && !slices.Contains([]string{"aes_generic", "virtio_pci", "nvme"}, need) {
					t.Errorf("%s is not before %s", need, m.Name)
				}
			}
		}
	})
}
