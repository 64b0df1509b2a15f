package convert

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
)

// openInitrd returns the entry's initrds as the boot loader hands them over: one
// behind the other, each on a boundary of four bytes.
func openInitrd(sys *system) (r io.Reader, closeAll func(), err error) {
	var files []fs.File
	var readers []io.Reader
	closeAll = func() {
		for _, f := range files {
			f.Close()
		}
	}
	for i, name := range sys.choice.Entry.Initrds {
		f, err := openLocated(sys, name)
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("initrd: %w", err)
		}
		files = append(files, f)
		readers = append(readers, f)
		if i == len(sys.choice.Entry.Initrds)-1 {
			break
		}
		info, err := f.Stat()
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("initrd: %w", err)
		}
		readers = append(readers, io.LimitReader(zeros{}, -info.Size()&3))
	}
	if len(files) == 0 {
		return nil, nil, errors.New("the boot entry has no initrd, and the agent needs one to run in")
	}
	return &limited{r: io.MultiReader(readers...), most: maxInitrd}, closeAll, nil
}

// copyDistribution copies the distribution's initrd to a file of the workspace and
// checks that the guest's kernel will find there what the agent goes on with.
func (c *conversion) copyDistribution(sys *system) (path string, err error) {
	original, closeAll, err := openInitrd(sys)
	if err != nil {
		return "", err
	}
	defer closeAll()
	path = c.work.path("initrd")
	if err := writeNew(path, original); err != nil {
		return "", err
	}
	return path, checkInitrd(sys, path)
}

// checkInitrd reads an initrd as the guest's kernel will.
func checkInitrd(sys *system, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = inspectInitrd(sys, f)
	return err
}

// inspectInitrd says what an initrd is, and refuses one in which the agent would
// not be found or has nothing to go on with.
func inspectInitrd(sys *system, r io.Reader) (*initrd.Info, error) {
	info, err := initrd.Inspect(r)
	switch {
	case err != nil:
		err = fmt.Errorf("%w; the kernel would stop there and not unpack the agent, which comes after it", err)
	case info.Agent:
		err = errors.New("it holds an agent already: convert the image that this one came from")
	case !info.Init:
		err = errors.New("it has no /init, which the agent hands over to")
	default:
		for _, s := range info.Segments {
			if !sys.choice.Kernel.Unpacks(s.Format) {
				err = fmt.Errorf("it is compressed with %s, and the kernel reads none of it: CONFIG_RD_%s is not set", s.Format, strings.ToUpper(string(s.Format)))
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("initrd %s: %w; rebuild the initrd in the image (update-initramfs -u, dracut --force)", strings.Join(sys.choice.Entry.Initrds, ", "), err)
	}
	return info, nil
}

// appendTo appends the agent's segment to the distribution's initrd.
func (s *segment) appendTo(w io.Writer) error {
	original, err := os.Open(s.distribution)
	if err != nil {
		return err
	}
	defer original.Close()
	_, err = initrd.Append(w, original, s.Segment, s.compression)
	return err
}
