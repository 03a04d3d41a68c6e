"""Training measured: equal bits, accuracy, cost, resumed and watched runs."""
