"""A port in float32, bfloat16 or float16: what each side loses to rounding there, and whether it may."""
