package instance

// Secret is the guest's half of the key, of the last boot.
func (f *First) Secret() []byte { return f.secret }

// Key is the volume key of the last boot.
func (f *First) Key() []byte { return f.key }
