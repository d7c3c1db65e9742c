"""Whether V and M tell the truth, measured in minutes, before any evolution is paid for."""
