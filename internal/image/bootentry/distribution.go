package bootentry

// distributionWords are for the programs of a distribution's initrd.
func distributionWords() []string {
	return []string{"rd.shell=0", "rd.emergency=poweroff"}
}
