"""Discovery: verifies by test requests that deployments handle efforts as their family rows say."""
