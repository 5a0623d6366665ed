"""A GGUF model in a child process: llama.cpp by the low-level API of llama-cpp-python, answers held by llguidance.

The parent's side is `engine` and `child`; the child's is `worker` with `library`, `template`, `grammar`, `decoder`,
`closing` and `batching`. Only the child imports llama_cpp and llguidance. `messages` is what goes over the pipe.
"""
