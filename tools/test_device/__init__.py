"""Every command that uses a board, on emulated ones: over real ssh, and over the real adb."""
