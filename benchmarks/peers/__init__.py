"""The tools that a user would otherwise take, on the network and images that we are judged on.

python -m benchmarks.peers

Each tool runs in a virtual environment of its own, which `environment.py` makes outside the
repository; what travels between here and there are the files of `exchange.py`. The modules
`with_*.py`, `workbench.py` and `network.py` run in a tool's environment: they import nothing of
intaglio, whose own needs are not installed there.

What the tools quantize differs, so agreement is not quite like for like. All quantize the weights
of the 53 layers and the network's input. Of the activations: intaglio all, the logits and residual
sums too; onnxruntime the same; NNCF all but the logits; AIMET and MCT as onnxruntime; Brevitas only
the inputs of convolutions and of the classifier. Biases are int32 in intaglio, onnxruntime and
Brevitas, float in the others. All but intaglio's and the rows named "integer kernels" are judged in
a float simulation of the quantized graph, or (NNCF) in what OpenVINO makes of it on the machine.
"""
