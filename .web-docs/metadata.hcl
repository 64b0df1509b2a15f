# What Packer's integration pages say about this plugin.
integration {
  name        = "SnpGuard"
  description = "Turn stock cloud images into confidential VMs on AMD SEV-SNP and register them with an attestation service."
  identifier  = "packer/snpguard-go/snpguard"
  component {
    type = "builder"
    name = "SnpGuard"
    slug = "snpguard"
  }
  component {
    type = "post-processor"
    name = "SnpGuard Convert"
    slug = "convert"
  }
  component {
    type = "post-processor"
    name = "SnpGuard Register"
    slug = "register"
  }
  component {
    type = "data-source"
    name = "SnpGuard Service"
    slug = "service"
  }
  component {
    type = "data-source"
    name = "SnpGuard Image"
    slug = "image"
  }
  component {
    type = "data-source"
    name = "SnpGuard Instance"
    slug = "instance"
  }
}
