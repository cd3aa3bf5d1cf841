terraform {
  required_providers {
    pyvider = {
      source = "local/providers/pyvider"
    }
  }
}

variable "text" {
  type    = string
  default = "Hello from a package\n"
}

resource "pyvider_file_content" "greeting" {
  filename = "${path.module}/greeting.txt"
  content  = var.text
}

data "pyvider_file_info" "greeting" {
  path = pyvider_file_content.greeting.filename
}

output "sha256" {
  value = pyvider_file_content.greeting.content_hash
}

output "size" {
  value = data.pyvider_file_info.greeting.size
}
