"""The sections of the configuration, one file each: the settings of one part."""
