package wire

import "time"

// Machine is a guest of an image as it was last seen. Its image and release are its
// report's; the rest is the word of root in the guest.
type Machine struct {
	ID          UUID            `json:"id"` // MachineID
	SeenAt      time.Time       `json:"seen_at"`
	Release     UUID            `json:"release"`            // that it ran then
	Running     string          `json:"running"`            // release of its kernel; empty before it asked for an update
	Failed      UUID            `json:"failed,omitzero"`    // release that was tried and did not come up
	Confirmed   UUID            `json:"confirmed,omitzero"` // the last release that booted completely
	ConfirmedAt *time.Time      `json:"confirmed_at"`       // null: never
	Kernels     []MachineKernel `json:"kernels"`            // that are installed
}

// MachineKernel is a kernel that is installed in a guest.
type MachineKernel struct {
	Release string `json:"release"`
	SHA256  string `json:"sha256"` // 64 hexadecimal digits
	Newer   bool   `json:"newer"`  // than the one that runs, and with its modules
}

// MachineList is one page of the machines of an image, in the order of their IDs.
type MachineList struct {
	Machines []Machine `json:"machines"`
	Next     string    `json:"next"` // cursor of the next page; empty on the last
}

// Fleet counts the machines of an image.
type Fleet struct {
	Machines int64           `json:"machines"`
	Releases []ReleaseGuests `json:"releases"` // the most used first
	Waiting  []WaitingKernel `json:"waiting"`  // on most machines first
}

// ReleaseGuests is how many machines ran a release when they were last seen, and for how
// many it is the last one that booted completely.
type ReleaseGuests struct {
	Release   UUID  `json:"release"`
	Running   int64 `json:"running"`
	Confirmed int64 `json:"confirmed"`
}

// WaitingKernel is a kernel that machines have installed, newer than the one they run,
// and that no release of the image has.
type WaitingKernel struct {
	Kernel   string `json:"kernel"` // its release, such as "6.12.57+deb13-cloud-amd64"
	SHA256   string `json:"sha256"` // of its file, 64 hexadecimal digits
	Machines int64  `json:"machines"`
}
