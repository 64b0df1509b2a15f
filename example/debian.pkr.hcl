# A stock Debian 13 cloud image becomes a confidential VM, registered with an
# attestation service:
#
#   packer init example/debian.pkr.hcl
#   packer build -var fingerprint=... example/debian.pkr.hcl

packer {
  required_plugins {
    snpguard = {
      version = ">= 0.1.0"
      source  = "github.com/snpguard-go/snpguard"
    }
  }
}

variable "image" {
  type        = string
  description = "Debian cloud image: URL or path"
  default     = "https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2"
}

variable "checksum" {
  type    = string
  default = "file:https://cloud.debian.org/images/cloud/trixie/latest/SHA512SUMS"
}

variable "firmware" {
  type        = string
  description = "OVMF build for SEV-SNP; Debian's package ovmf-amdsev has it here"
  default     = "/usr/share/ovmf/OVMF.amdsev.fd"
}

variable "service_url" {
  type        = string
  description = "Address of the attestation service; empty for that of \"snpguard login\""
  default     = ""
}

variable "guest_service_url" {
  type        = string
  description = "Address under which guests reach the service, where it is another"
  default     = ""
}

variable "fingerprint" {
  type        = string
  description = "SHA-256 fingerprint of the service's CA; not needed after \"snpguard login\""
  default     = ""
}

variable "token" {
  type        = string
  description = "API token; empty for SNPGUARD_TOKEN or that of \"snpguard login\""
  default     = ""
  sensitive   = true
}

variable "name" {
  type    = string
  default = "debian-13"
}

variable "output_directory" {
  type    = string
  default = "output-debian"
}

variable "vcpus" {
  type    = list(number)
  default = [2, 4]
}

variable "vcpu_types" {
  type    = list(string)
  default = ["EPYC-Genoa", "EPYC-Turin"]
}

variable "simulate" {
  type        = bool
  description = "For trying without a machine that has SEV-SNP: worth nothing"
  default     = false
}

variable "agent_path" {
  type        = string
  description = "Agent to put into the image; empty for the plugin's own"
  default     = ""
}

source "snpguard" "debian" {
  iso_url      = var.image
  iso_checksum = var.checksum

  firmware    = var.firmware
  service_url = var.service_url
  fingerprint = var.fingerprint
  services    = var.guest_service_url == "" ? [] : [var.guest_service_url]
  simulate    = var.simulate
  agent_path  = var.agent_path

  output_directory = var.output_directory
  vm_name          = "debian-13.qcow2"
}

build {
  sources = ["source.snpguard.debian"]

  post-processor "snpguard-register" {
    service_url = var.service_url
    fingerprint = var.fingerprint
    token       = var.token

    image_name = var.name
    labels     = { os = "debian-13" }
    vcpus      = var.vcpus
    vcpu_types = var.vcpu_types
    products   = ["Genoa", "Turin"]
    bundle     = "${var.output_directory}/launch-artifacts.tar.gz"
  }
}
