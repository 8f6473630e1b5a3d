"""The learning side of Thinkgate: tasks, outcomes, training, evaluation and the artifact that the gateway scores with."""
