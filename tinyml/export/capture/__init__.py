"""``nn.Module`` -> the captured program, and where and why that fails."""
