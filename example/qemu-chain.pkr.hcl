# The qemu builder boots a cloud image and provisions it; what it made is converted
# and registered, and carries its launch bundle. The disk in clear goes when the
# conversion is done.

packer {
  required_plugins {
    qemu = {
      version = ">= 1.1.0"
      source  = "github.com/hashicorp/qemu"
    }
    snpguard = {
      version = ">= 0.1.0"
      source  = "github.com/snpguard-go/snpguard"
    }
  }
}

variable "image" {
  type    = string
  default = "https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2"
}

variable "checksum" {
  type    = string
  default = "file:https://cloud.debian.org/images/cloud/trixie/latest/SHA512SUMS"
}

variable "firmware" {
  type    = string
  default = "/usr/share/ovmf/OVMF.amdsev.fd"
}

variable "ssh_private_key_file" {
  type    = string
  default = "~/.ssh/id_ed25519"
}

variable "ssh_public_key" {
  type    = string
  default = ""
}

variable "service_url" {
  type    = string
  default = ""
}

variable "ca_file" {
  type    = string
  default = ""
}

variable "agent_path" {
  type    = string
  default = ""
}

source "qemu" "web" {
  iso_url      = var.image
  iso_checksum = var.checksum
  disk_image   = true
  format       = "qcow2"
  headless     = true

  output_directory = "output-web-clear"
  vm_name          = "web.qcow2"

  cd_label = "cidata"
  cd_content = {
    "meta-data" = ""
    "user-data" = "#cloud-config\nusers: [{name: packer, sudo: 'ALL=(ALL) NOPASSWD:ALL', shell: /bin/bash, ssh_authorized_keys: ['${var.ssh_public_key}']}]\n"
  }

  ssh_username         = "packer"
  ssh_private_key_file = var.ssh_private_key_file
  shutdown_command     = "sudo userdel --force --remove packer; sudo systemctl poweroff"
}

build {
  sources = ["source.qemu.web"]

  provisioner "shell" {
    inline = [
      "sudo apt-get update",
      "sudo apt-get install -y nginx",
    ]
  }

  post-processors {
    post-processor "snpguard-convert" {
      firmware         = var.firmware
      service_url      = var.service_url
      ca_file          = var.ca_file
      agent_path       = var.agent_path
      output_directory = "output-web"
      vm_name          = "web.qcow2"
    }

    post-processor "snpguard-register" {
      service_url = var.service_url
      ca_file     = var.ca_file
      image_name  = "web"
      labels      = { team = "web" }
      vcpus       = [2]
      vcpu_types  = ["EPYC-Genoa"]
      products    = ["Genoa", "Turin"]
    }

    # The disk then boots with no bundle beside it.
    post-processor "snpguard-embed" {
      service_url = var.service_url
      ca_file     = var.ca_file
    }
  }
}
