package kmod_test

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
)

// Ubuntu's packages: what is in the image lacks what linux-modules-extra has.
const (
	sevGuestFile = "kernel/drivers/virt/coco/sev-guest/sev-guest.ko"
	tsmFile      = "kernel/drivers/virt/coco/tsm.ko"
)

func TestPackageIsLaidOver(t *testing.T) {
	root, extra := debian(t), fstest.MapFS{}
	delete(root, path.Join(kmod.Dir, release, sevGuestFile))
	delete(root, path.Join(kmod.Dir, release, tsmFile))
	put(extra, sevGuestFile+".zst", pack(t, ".zst", built("sev_guest", "tsm")))
	put(extra, tsmFile+".zst", pack(t, ".zst", built("tsm", "configfs")))
	if missing := open(t, root).Missing(kmod.ForAgent()); missing == nil || !slices.Equal(missing.Names, []string{"sev_guest"}) {
		t.Fatalf("without the package: %v", missing)
	}
	c, err := open(t, root, extra).Closure(kmod.ForAgent())
	if err != nil {
		t.Fatal(err)
	}
	order := loaded(c)
	configfs, tsm, guest := slices.Index(order, "configfs"), slices.Index(order, "tsm"), slices.Index(order, "sev_guest")
	if configfs < 0 || tsm < configfs || guest < tsm {
		t.Errorf("load order %v", order)
	}
}

// packaged is the same tree as its packages have it, before depmod runs.
func packaged(t *testing.T, root fstest.MapFS) fstest.MapFS {
	t.Helper()
	for _, index := range []string{"modules.dep", "modules.alias"} {
		delete(root, path.Join(kmod.Dir, release, index))
	}
	return root
}

// A tree without an index has the same modules in the same order as one with it.
func TestPackagedTree(t *testing.T) {
	want, err := open(t, debian(t)).Closure(kmod.ForAgent())
	if err != nil {
		t.Fatal(err)
	}
	root := packaged(t, debian(t))
	put(root, "kernel/crypto/ecb.ko", built("ecb", "", "alias=crypto-ecb", "alias=ecb-*"))
	put(root, "kernel/crypto/aecb.ko", built("aecb", "", "alias=crypto-ecb"))
	put(root, "modules.order", []byte("kernel/crypto/gone.ko\nkernel/crypto/ecb.ko\n"))
	tree, err := kmod.OpenPackaged(root, release)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tree.Closure(kmod.ForAgent())
	if err != nil || !slices.Equal(loaded(got), loaded(want)) || !slices.Equal(got.Builtin, want.Builtin) {
		t.Errorf("got %v, %v, %v\nwant %v, %v", loaded(got), got.Builtin, err, loaded(want), want.Builtin)
	}
	delete(root, path.Join(kmod.Dir, release, "modules.order")) // now the path decides
	if tree, err = kmod.OpenPackaged(root, release); err != nil {
		t.Fatal(err)
	}
	if got, err = tree.Closure(kmod.ForAgent()); err != nil || !slices.Contains(loaded(got), "aecb") {
		t.Errorf("got %v, %v", loaded(got), err)
	}
}

func TestPackagedTreeRefused(t *testing.T) {
	if _, err := kmod.OpenPackaged(debian(t), "../etc"); !errors.Is(err, kmod.ErrMalformed) {
		t.Errorf("a release that leads elsewhere: %v", err)
	}
	if _, err := kmod.OpenPackaged(debian(t), "5.10"); !errors.Is(err, kmod.ErrNoTree) {
		t.Errorf("another release: %v", err)
	}
	if _, err := kmod.OpenPackaged(unlistable{debian(t)}, release); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a tree that cannot be listed: %v", err)
	}
	root := packaged(t, debian(t))
	put(root, "kernel/crypto/zzz.ko.xz", []byte("\xfd7zXZ\x00 no"))
	tree, err := kmod.OpenPackaged(root, release)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Closure(kmod.ForAgent()); !errors.Is(err, kmod.ErrMalformed) || !strings.Contains(err.Error(), "zzz.ko.xz") {
		t.Errorf("a damaged module among the aliases: %v", err)
	}
}
