package dmcrypt

import (
	"encoding/binary"
	"fmt"
)

// Header of a device-mapper ioctl (Linux, include/uapi/linux/dm-ioctl.h, struct
// dm_ioctl): offsets and sizes in bytes. Numbers are the machine's, little
// endian.
const (
	headerSize   = 312
	offVersion   = 0 // three numbers of 4 bytes
	offDataSize  = 12
	offDataStart = 16
	offTargets   = 20
	offFlags     = 28
	offDev       = 40
	offName      = 48
	nameSize     = 128
	offUUID      = 176
	uuidSize     = 129
)

// struct dm_target_spec.
const (
	specSize  = 40
	offLength = 8 // the start, before it, is 0
	offNext   = 20
	offType   = 24
	typeSize  = 16
)

// Commands: _IOWR(0xfd, NUMBER, struct dm_ioctl).
const (
	commandBase   = 0xC138FD00
	commandCreate = commandBase | 3
	commandRemove = commandBase | 4
	commandResume = commandBase | 6 // DM_DEV_SUSPEND without its flag
	commandLoad   = commandBase | 9
)

// flagSecureData has the kernel wipe its copy of the arguments, which hold the
// key.
const flagSecureData = 1 << 15

// message returns the arguments of a command: the header with name and UUID, and
// room for more.
func message(name, uuid string, more int) ([]byte, error) {
	if len(name) >= nameSize || len(uuid) >= uuidSize {
		return nil, fmt.Errorf("device-mapper name %.20q or UUID %.20q is too long", name, uuid)
	}
	b := make([]byte, headerSize+more)
	for i, v := range []uint32{4, 0, 0} {
		binary.LittleEndian.PutUint32(b[offVersion+4*i:], v)
	}
	binary.LittleEndian.PutUint32(b[offDataSize:], uint32(len(b)))
	binary.LittleEndian.PutUint32(b[offDataStart:], headerSize)
	copy(b[offName:], name)
	copy(b[offUUID:], uuid)
	return b, nil
}

// tableMessage returns the arguments that load a table of one crypt target.
// The caller wipes them.
func tableMessage(name string, sectors uint64, params []byte) ([]byte, error) {
	room := specSize + (len(params)+1+7)/8*8 // a NUL ends the text; kept aligned
	b, err := message(name, "", room)
	if err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint32(b[offTargets:], 1)
	binary.LittleEndian.PutUint32(b[offFlags:], flagSecureData)
	spec := b[headerSize:]
	binary.LittleEndian.PutUint64(spec[offLength:], sectors)
	binary.LittleEndian.PutUint32(spec[offNext:], uint32(room))
	copy(spec[offType:offType+typeSize], "crypt")
	copy(spec[specSize:], params)
	return b, nil
}

// deviceNumber reads the device that the kernel made, in the encoding of
// huge_encode_dev.
func deviceNumber(b []byte) (major, minor uint32) {
	dev := binary.LittleEndian.Uint64(b[offDev:])
	return uint32(dev >> 8 & 0xFFF), uint32(dev&0xFF | dev>>12&0xFFF00)
}
