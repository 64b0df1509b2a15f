package wire

import "time"

// PathChannels is where channels are. The two parts of a name follow.
const PathChannels = "/v1/channels"

// ChannelTarget is what a channel stands for.
type ChannelTarget struct {
	ImageID   UUID  `json:"image_id"`
	ReleaseID *UUID `json:"release_id"` // null: the newest that is approved
}

// Channel is a stable name, FAMILY/NAME, for an image and one of its releases.
type Channel struct {
	Name      string    `json:"name"`
	ImageID   UUID      `json:"image_id"`
	ReleaseID *UUID     `json:"release_id"` // that it names; null: the newest that is approved
	InForce   *UUID     `json:"in_force"`   // the release that it stands for now; null when that is not approved, or there is none
	ChangedAt time.Time `json:"changed_at"`
	ChangedBy string    `json:"changed_by"`
}

// ChannelList is all channels, by name.
type ChannelList struct {
	Channels []Channel `json:"channels"`
}

// ChannelChange makes or moves a channel.
type ChannelChange struct {
	Target   ChannelTarget  `json:"target"`
	Previous *ChannelTarget `json:"previous"` // that is replaced; null: the channel does not exist
}
