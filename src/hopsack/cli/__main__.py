from hopsack.cli.main import main

main()
