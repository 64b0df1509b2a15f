// Package bundle writes and reads launch bundles, launch-artifacts.tar.gz:
// everything that a host needs to launch one release of an image, in the layout
// that SnpGuard's launchers read.
//
//	manifest.json        names, sizes and SHA-256 of all other files
//	manifest.json.sig    Ed25519 signature of it by the service's identity key
//	firmware-code.fd     the guest's firmware
//	vmlinuz, initrd.img, kernel-params.txt
//	launch-config.json, id-block.bin, id-auth.bin       the default variant
//	variants/4xEPYC-Genoa.launch-config.json, ...       every other variant
//
// The variants' names differ from the default's because launchers search the
// tree by name and take the first hit.
//
// Reading trusts nothing: the manifest comes first and must be signed by the
// identity key that the caller knows, then every file must be in it, with its
// size and hash, and nothing else. A host may hold a bundle, but not change it.
//
// What was converted without encryption has no ID block and nobody who signs: its
// bundle ends with the default variant's launch-config.json, without a signature,
// and is taken only by who asks for such a bundle (Trust.Unsigned).
package bundle
