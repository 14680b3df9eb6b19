# The optics table on a real EPICS IOC. Either, with the IOC from the package index:
#     python -m ioc.epics_plant --prefix X1:
# or, with an EPICS base of your own:
#     cd db; P=X1: softIoc st.cmd
on error break
asSetFilename("$(PWD)/plant.acf")
dbLoadTemplate("plant.substitutions", "P=$(P=X1:)")
iocInit()
