"""The local engine where a step runs on the device alone: paged cache, kernels, graphs, scheduler."""
