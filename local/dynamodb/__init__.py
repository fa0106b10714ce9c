"""DynamoDB in memory: tables that answer a ledger's calls, their streams, and both served as AWS serves them."""
