"""The daemon as a process of its machine: its folders, its address, its supervisor."""
