"""The learning side of Thinkgate: tasks, outcomes, training, evaluation and the artifact the gateway scores with."""
