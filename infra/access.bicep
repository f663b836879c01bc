// Who may do what: the table of access.json, and nothing beside it. The role on the encryption key
// alone is assigned in vault.bicep, from the same table.
param lakeName string
param hostStorageName string
param vaultName string
param insightsName string
param dataFactoryName string
@description('Object ids of the principals of access.json, by their names there.')
param principals object

var access = loadJsonContent('access.json')

resource lake 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: lakeName
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' existing = {
  parent: lake
  name: 'default'
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' existing = [
  for row in access.containers: {
    parent: blobs
    name: row.container
  }
]

resource accounts 'Microsoft.Storage/storageAccounts@2025-06-01' existing = [
  for row in access.accounts: {
    name: row.account == 'lake' ? lakeName : hostStorageName
  }
]

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource factory 'Microsoft.DataFactory/factories@2018-06-01' existing = {
  name: dataFactoryName
}

// No built-in role of Data Factory starts pipelines without being able to change them.
resource pipelineRunner 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, access.pipelineRunner.name)
  properties: {
    roleName: '${access.pipelineRunner.name} (${resourceGroup().name})'
    description: access.pipelineRunner.description
    type: 'CustomRole'
    assignableScopes: [resourceGroup().id]
    permissions: [
      {
        actions: access.pipelineRunner.actions
        notActions: []
      }
    ]
  }
}

resource onContainers 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (row, i) in access.containers: {
    scope: containers[i]
    name: guid(lake.id, row.container, principals[row.principal], access.roles[row.role])
    properties: {
      principalId: principals[row.principal]
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', access.roles[row.role])
    }
  }
]

resource onAccounts 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (row, i) in access.accounts: {
    scope: accounts[i]
    name: guid(row.account == 'lake' ? lakeName : hostStorageName, principals[row.principal], access.roles[row.role])
    properties: {
      principalId: principals[row.principal]
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', access.roles[row.role])
    }
  }
]

resource onVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for row in access.vault: {
    scope: vault
    name: guid(vault.id, principals[row.principal], access.roles[row.role])
    properties: {
      principalId: principals[row.principal]
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', access.roles[row.role])
    }
  }
]

resource onInsights 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for row in access.insights: {
    scope: insights
    name: guid(insights.id, principals[row.principal], access.roles[row.role])
    properties: {
      principalId: principals[row.principal]
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', access.roles[row.role])
    }
  }
]

resource onFactory 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for row in access.factory: {
    scope: factory
    name: guid(factory.id, principals[row.principal], pipelineRunner.name)
    properties: {
      principalId: principals[row.principal]
      principalType: 'ServicePrincipal'
      roleDefinitionId: pipelineRunner.id
    }
  }
]

output pipelineRunnerRoleId string = pipelineRunner.id
