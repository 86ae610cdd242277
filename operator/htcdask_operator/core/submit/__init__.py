"""What is submitted. All that people wrote is data here: quoted, named, and looked at again by the agent.

template     what one worker is            descriptions  the jobs, and the workers' bundle
anchor       the job that keeps the files  spooled     or where each worker brings them
worker_names  a name and an output file for each worker
images, quoting, reserved_attributes       what HTCondor could take for something else
"""
