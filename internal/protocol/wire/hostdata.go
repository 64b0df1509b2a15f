package wire

import "bytes"

// HostDataSize is the size in bytes of HOST_DATA of a launch (56860 rev. 1.58, table 23).
const HostDataSize = 32

// hostDataMark is what HOST_DATA begins with that names an instance; its UUID follows.
const hostDataMark = "SNPGUARD-INST-1\x00"

// HostData returns HOST_DATA of the launch of an instance. It is the host's choice, and
// nothing measures it: it selects, and proves nothing.
func HostData(instance UUID) [HostDataSize]byte {
	return [HostDataSize]byte(append([]byte(hostDataMark), instance[:]...))
}

// HostInstance returns the instance that HOST_DATA names, or zero when it names none.
func HostInstance(data [HostDataSize]byte) UUID {
	id, found := bytes.CutPrefix(data[:], []byte(hostDataMark))
	if !found {
		return UUID{}
	}
	return UUID(id)
}
