from worker.cli.root import main

main()
