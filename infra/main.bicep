// Landfall in one resource group. `azd up` deploys it; docs/how-to/deploy-to-azure.md says how.
targetScope = 'subscription'

@description('Name of the environment; names of resources are derived from it.')
@minLength(1)
@maxLength(40)
param environmentName string

@metadata({
  azd: {
    type: 'location'
  }
})
param location string

@description('private: storage, vault and database have private endpoints only.')
@allowed(['public', 'private'])
param network string = 'public'

@description('Address ranges that may call a private app, comma-separated, such as 198.51.100.0/24.')
param allowedIps string = ''

@description('Database that reports read.')
@allowed(['none', 'postgresql'])
param database string = 'none'

@description('Object id of the Entra user, group or service principal that administers the database.')
param databaseAdminId string = ''

@description('Its name, as Entra ID has it.')
param databaseAdminName string = ''

@allowed(['User', 'Group', 'ServicePrincipal'])
param databaseAdminType string = 'User'

@description('Encrypt storage, factory and database with a key of the vault.')
param customerKey bool = false

@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param redundancy string = 'Standard_ZRS'

@description('Days that data is kept. passing: what lies in partners and deadletter.')
param retentionDays object = {
  raw: 365
  bronze: 730
  quarantine: 180
  passing: 30
}

@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@minValue(0)
param alwaysReady int = 0

@description('What takes the place of connections of source files, by source: docs/reference/settings.md.')
param sources object = {}

@description('Schedule of the reconciling timer at rest. While something is on its way the app sends itself a tick every 30 seconds.')
param tick string = '0 */5 * * * *'

@description('Application (client) id by which people sign in to the HTTP API; empty: function keys only.')
param authClientId string = ''

param alertEmail string = ''

@description('In the currency of the subscription; 0 for none.')
param monthlyBudget int = 0

@description('First day of a month, not in the past when the budget is made.')
param budgetStart string = '2026-12-01'

@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

var abbreviations = loadJsonContent('abbreviations.json')
var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = {
  'azd-env-name': environmentName
  product: 'landfall'
}
var names = {
  lake: '${abbreviations.lake}${token}'
  hostStorage: '${abbreviations.hostStorage}${token}'
  vault: '${abbreviations.vault}${token}'
  insights: '${abbreviations.appInsights}${token}'
  dataFactory: '${abbreviations.dataFactory}${token}'
}
var isPrivate = network == 'private'
var withDatabase = database == 'postgresql'

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: '${abbreviations.resourceGroup}${environmentName}'
  location: location
  tags: tags
}

module identity 'identity.bicep' = {
  scope: group
  params: {
    appIdentityName: '${abbreviations.identity}app-${token}'
    encryptionIdentityName: '${abbreviations.identity}encryption-${token}'
    customerKey: customerKey
    location: location
    tags: tags
  }
}

module monitor 'monitor.bicep' = {
  scope: group
  params: {
    workspaceName: '${abbreviations.logAnalytics}${token}'
    insightsName: names.insights
    retentionDays: logRetentionDays
    location: location
    tags: tags
  }
}

module vault 'vault.bicep' = {
  scope: group
  params: {
    name: names.vault
    isPrivate: isPrivate
    purgeProtection: customerKey
    customerKey: customerKey
    encryptionPrincipalId: identity.outputs.encryptionPrincipalId
    workspaceId: monitor.outputs.workspaceId
    location: location
    tags: tags
  }
}

module connector 'access-connector.bicep' = {
  scope: group
  params: {
    name: '${abbreviations.accessConnector}${token}'
    location: location
    tags: tags
  }
}

module lake 'lake.bicep' = {
  scope: group
  params: {
    name: names.lake
    redundancy: redundancy
    isPrivate: isPrivate
    retentionDays: retentionDays
    customerKey: customerKey
    encryptionIdentityId: identity.outputs.encryptionId
    keyName: vault.outputs.keyName
    vaultUrl: vault.outputs.url
    accessConnectorId: connector.outputs.id
    workspaceId: monitor.outputs.workspaceId
    location: location
    tags: tags
  }
}

module hostStorage 'host-storage.bicep' = {
  scope: group
  params: {
    name: names.hostStorage
    isPrivate: isPrivate
    customerKey: customerKey
    encryptionIdentityId: identity.outputs.encryptionId
    keyName: vault.outputs.keyName
    vaultUrl: vault.outputs.url
    workspaceId: monitor.outputs.workspaceId
    location: location
    tags: tags
  }
}

module virtualNetwork 'network.bicep' = if (isPrivate) {
  scope: group
  params: {
    name: '${abbreviations.network}${token}'
    location: location
    tags: tags
  }
}

module databricks 'databricks.bicep' = {
  scope: group
  params: {
    name: '${abbreviations.databricks}${token}'
    managedResourceGroupName: '${abbreviations.resourceGroup}${environmentName}-databricks'
    workspaceId: monitor.outputs.workspaceId
    location: location
    tags: tags
  }
}

module reports 'database.bicep' = if (withDatabase) {
  scope: group
  params: {
    name: '${abbreviations.postgresql}${token}'
    isPrivate: isPrivate
    adminId: databaseAdminId
    adminName: databaseAdminName
    adminType: databaseAdminType
    customerKey: customerKey
    encryptionIdentityId: identity.outputs.encryptionId
    keyUri: vault.outputs.keyUri
    workspaceId: monitor.outputs.workspaceId
    location: location
    tags: tags
  }
}

module privateEndpoints 'private-endpoints.bicep' = if (isPrivate) {
  scope: group
  params: {
    networkId: virtualNetwork!.outputs.id
    subnetId: virtualNetwork!.outputs.endpointSubnetId
    lakeId: lake.outputs.id
    hostStorageId: hostStorage.outputs.id
    vaultId: vault.outputs.id
    withDatabase: withDatabase
    databaseId: withDatabase ? reports!.outputs.id : ''
    location: location
    tags: tags
  }
}

module functions 'functions.bicep' = {
  scope: group
  params: {
    planName: '${abbreviations.functionPlan}${token}'
    appName: '${abbreviations.functionApp}${token}'
    identityId: identity.outputs.appId
    identityClientId: identity.outputs.appClientId
    hostStorage: {
      blobUrl: hostStorage.outputs.blobUrl
      queueUrl: hostStorage.outputs.queueUrl
      tableUrl: hostStorage.outputs.tableUrl
      packagesUrl: hostStorage.outputs.packagesUrl
    }
    lake: {
      blobUrl: lake.outputs.blobUrl
      queueUrl: lake.outputs.queueUrl
    }
    dataFactoryName: names.dataFactory
    databricksUrl: databricks.outputs.url
    insightsConnection: monitor.outputs.insightsConnection
    workspaceId: monitor.outputs.workspaceId
    tick: tick
    sources: sources
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    alwaysReady: alwaysReady
    isPrivate: isPrivate
    subnetId: isPrivate ? virtualNetwork!.outputs.appSubnetId : ''
    allowedIps: empty(allowedIps) ? [] : split(allowedIps, ',')
    authClientId: authClientId
    location: location
    tags: tags
  }
}

module factory 'factory.bicep' = {
  scope: group
  params: {
    name: names.dataFactory
    serviceUrl: functions.outputs.url
    keyVaultUrl: vault.outputs.url
    vaultId: vault.outputs.id
    lakeId: lake.outputs.id
    isPrivate: isPrivate
    customerKey: customerKey
    encryptionIdentityId: identity.outputs.encryptionId
    keyName: vault.outputs.keyName
    workspaceId: monitor.outputs.workspaceId
    location: location
    tags: tags
  }
}

module events 'events.bicep' = {
  scope: group
  params: {
    topicName: '${abbreviations.systemTopic}${token}'
    lakeId: lake.outputs.id
    workspaceId: monitor.outputs.workspaceId
    location: location
    tags: tags
  }
}

// By name and not by output, so that what is assigned can be read without deploying anything.
module access 'access.bicep' = {
  scope: group
  params: {
    lakeName: names.lake
    hostStorageName: names.hostStorage
    vaultName: names.vault
    insightsName: names.insights
    dataFactoryName: names.dataFactory
    principals: {
      app: identity.outputs.appPrincipalId
      factory: factory.outputs.principalId
      connector: connector.outputs.principalId
      topic: events.outputs.principalId
    }
  }
}

module alerts 'alerts.bicep' = {
  scope: group
  params: {
    actionGroupName: '${abbreviations.actionGroup}${token}'
    email: alertEmail
    functionAppId: functions.outputs.id
    insightsId: monitor.outputs.insightsId
    topicId: events.outputs.id
    dataFactoryId: factory.outputs.id
    lakeId: lake.outputs.id
    withDatabase: withDatabase
    databaseId: withDatabase ? reports!.outputs.id : ''
    monthlyBudget: monthlyBudget
    budgetStart: budgetStart
    location: location
    tags: tags
  }
}

// What the hooks and the `landfall` command read; azd keeps it in .azure/<environment>/.env.
output AZURE_LOCATION string = location
output AZURE_SUBSCRIPTION_ID string = subscription().subscriptionId
output AZURE_RESOURCE_GROUP string = group.name
output DATABRICKS_HOST string = databricks.outputs.url
output LANDFALL_ACCESS_CONNECTOR_ID string = connector.outputs.id
output LANDFALL_ADF_FACTORY string = factory.outputs.name
output LANDFALL_ADF_RESOURCE_GROUP string = group.name
output LANDFALL_ADF_SUBSCRIPTION string = subscription().subscriptionId
output LANDFALL_APP_CLIENT_ID string = identity.outputs.appClientId
output LANDFALL_CONNECTOR_PRINCIPAL_ID string = connector.outputs.principalId
output LANDFALL_DATABASE_ADMIN_NAME string = databaseAdminName
output LANDFALL_DATABASE_URL string = withDatabase ? reports!.outputs.url : ''
output LANDFALL_FUNCTION_APP string = functions.outputs.name
output LANDFALL_KEY_VAULT string = vault.outputs.name
output LANDFALL_KEY_VAULT_URL string = vault.outputs.url
output LANDFALL_LAKE_ID string = lake.outputs.id
output LANDFALL_LAKE_URL string = lake.outputs.dfsUrl
output LANDFALL_PIPELINE_ROLE_ID string = access.outputs.pipelineRunnerRoleId
output LANDFALL_SYSTEM_TOPIC string = events.outputs.name
output LANDFALL_URL string = functions.outputs.url
