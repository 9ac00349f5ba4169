"""The local engine where a step runs on the device: paged cache, kernels, graphs."""
