# Ubuntu 24.04. Its cloud images lack the modules sev-guest and tsm, which come in
# a package that belongs to the image's kernel.

packer {
  required_plugins {
    snpguard = {
      version = ">= 0.1.0"
      source  = "github.com/snpguard-go/snpguard"
    }
  }
}

variable "image" {
  type    = string
  default = "https://cloud-images.ubuntu.com/releases/24.04/release/ubuntu-24.04-server-cloudimg-amd64.img"
}

variable "checksum" {
  type    = string
  default = "file:https://cloud-images.ubuntu.com/releases/24.04/release/SHA256SUMS"
}

variable "firmware" {
  type    = string
  default = "/usr/share/ovmf/OVMF.amdsev.fd"
}

variable "module_packages" {
  type        = list(string)
  description = "linux-modules-extra of the image's kernel: paths, or URL#sha256=HEX"
  default     = []
}

variable "service_url" {
  type = string
}

variable "ca_file" {
  type = string
}

# The keys of the service, for all that follows.
data "snpguard-service" "attest" {
  service_url = var.service_url
  ca_file     = var.ca_file
}

source "snpguard" "ubuntu" {
  iso_url      = var.image
  iso_checksum = var.checksum

  firmware        = var.firmware
  module_packages = var.module_packages
  cmdline_append  = "console=ttyS0"
  size            = "20G"

  service_url   = data.snpguard-service.attest.url
  ca_file       = data.snpguard-service.attest.ca
  identity_key  = data.snpguard-service.attest.identity_key
  ingestion_key = data.snpguard-service.attest.ingestion_key
}

build {
  sources = ["source.snpguard.ubuntu"]

  # The token is in SNPGUARD_TOKEN.
  post-processor "snpguard-register" {
    service_url = data.snpguard-service.attest.url
    ca_file     = data.snpguard-service.attest.ca

    image_name = "ubuntu-24.04"
    labels     = { os = "ubuntu-24.04" }
    vcpus      = [2, 4, 8]
    vcpu_types = ["EPYC-Genoa"]
    products   = ["Genoa", "Turin"]
    tcb_floors = ["Genoa:bootloader=9,tee=0,snp=21,microcode=72"]
    bundle     = "output-ubuntu/launch-artifacts.tar.gz"
  }
}
